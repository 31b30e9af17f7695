# What durable acceptance is measured against: the bare log, and a client of beanstalkd; run by tests/bench/run.
foreach(program log_bench beanstalk_bench)
  add_executable(${program} ${CMAKE_CURRENT_LIST_DIR}/${program}.c ${CMAKE_CURRENT_LIST_DIR}/times.c)
  target_link_libraries(${program} PRIVATE tpn_flags tpn_base)
endforeach()
