# What the store costs a message; run by hand: store_bench [folder] [messages] [batch …].
add_executable(store_bench ${CMAKE_CURRENT_LIST_DIR}/store_bench.c ${CMAKE_CURRENT_LIST_DIR}/times.c)
target_link_libraries(store_bench PRIVATE tpn_flags tpn_broker_core)
