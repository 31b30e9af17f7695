# The whole durable path from a producer's side; run by tests/bench/run.
add_executable(pipeline_bench ${CMAKE_CURRENT_LIST_DIR}/pipeline_bench.c)
target_link_libraries(pipeline_bench PRIVATE tpn_flags tpn_static tpn_base)
