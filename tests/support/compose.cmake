# Composes requests from stdin; tests/integration/compose-oracle.py drives it.
add_executable(compose_tool ${CMAKE_CURRENT_LIST_DIR}/compose_tool.c)
target_link_libraries(compose_tool PRIVATE tpn_flags tpn_worker_core)
