# Subscribers of the status socket; run by tests/bench/run.
add_executable(status_bench ${CMAKE_CURRENT_LIST_DIR}/status_bench.c)
target_link_libraries(status_bench PRIVATE tpn_flags tpn_base PkgConfig::ZMQ)
