# The whole durable path from a producer's side; run by tests/bench/run.
add_executable(pipeline_bench ${CMAKE_CURRENT_LIST_DIR}/pipeline_bench.c ${CMAKE_CURRENT_LIST_DIR}/times.c)
target_link_libraries(pipeline_bench PRIVATE tpn_flags tpn_static tpn_base)

# The comparison itself, small: fails when a message is lost or doubled or a program crashes, never because of a time.
set(tpn_bench_slow 1)
if(TPN_SANITIZE)
  set(tpn_bench_slow 3)
endif()
foreach(comparison pipeline curve accept load)
  add_test(NAME bench/${comparison}
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/run --quick --no-peers --build ${PROJECT_BINARY_DIR} ${comparison})
  set_tests_properties(bench/${comparison} PROPERTIES
    LABELS bench-smoke TIMEOUT 180 SKIP_RETURN_CODE 77 ENVIRONMENT TPN_SLOW=${tpn_bench_slow})
endforeach()
