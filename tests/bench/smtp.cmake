# The SMTP engine alone, against an smtp-sink of your own; not a ctest: its figures mean something side by side only.
add_executable(smtp_engine_bench ${CMAKE_CURRENT_LIST_DIR}/smtp_engine_bench.c)
target_link_libraries(smtp_engine_bench PRIVATE tpn_flags tpn_worker_core)
