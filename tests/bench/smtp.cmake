# Back ends of the worker alone, fed by one loop; not ctests: their figures mean something side by side only.
add_library(bench_feed STATIC ${CMAKE_CURRENT_LIST_DIR}/feed.c)
target_include_directories(bench_feed PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(bench_feed PUBLIC tpn_worker_core PRIVATE tpn_flags)
foreach(program smtp_engine_bench pickup_engine_bench)
  add_executable(${program} ${CMAKE_CURRENT_LIST_DIR}/${program}.c)
  target_link_libraries(${program} PRIVATE tpn_flags bench_feed)
endforeach()

# The server that counts: fast, with TLS, slow on purpose.
add_executable(fast_sink ${CMAKE_CURRENT_LIST_DIR}/fast_sink.c ${CMAKE_CURRENT_LIST_DIR}/sink_talk.c)
target_include_directories(fast_sink PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(fast_sink PRIVATE tpn_flags tpn_base PkgConfig::SSL PkgConfig::CRYPTO)
