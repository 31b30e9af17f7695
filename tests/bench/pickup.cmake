# The disk's share of a pickup folder; run by tests/bench/run.
add_executable(files_bench ${CMAKE_CURRENT_LIST_DIR}/files_bench.c)
target_link_libraries(files_bench PRIVATE tpn_flags tpn_base Threads::Threads)
