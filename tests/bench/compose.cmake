# What composing costs; run by hand: compose_bench [messages]. gmime_bench is the same with GMime (found in support/compose.cmake).
add_executable(compose_bench ${CMAKE_CURRENT_LIST_DIR}/compose_bench.c)
target_link_libraries(compose_bench PRIVATE tpn_flags tpn_worker_core)
add_executable(gmime_bench ${CMAKE_CURRENT_LIST_DIR}/gmime_bench.c)
target_link_libraries(gmime_bench PRIVATE tpn_flags PkgConfig::GMIME)
