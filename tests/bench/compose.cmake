# What composing costs; run by hand: compose_bench [messages].
add_executable(compose_bench ${CMAKE_CURRENT_LIST_DIR}/compose_bench.c)
target_link_libraries(compose_bench PRIVATE tpn_flags tpn_worker_core)
