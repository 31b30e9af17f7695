# Composes requests from stdin; tests/integration/compose-oracle.py drives it.
add_executable(compose_tool ${CMAKE_CURRENT_LIST_DIR}/compose_tool.c)
target_link_libraries(compose_tool PRIVATE tpn_flags tpn_worker_core)

# Another reader of what was composed: GMime, the library of Evolution and others.
pkg_check_modules(GMIME REQUIRED IMPORTED_TARGET gmime-3.0)
add_executable(gmime_tool ${CMAKE_CURRENT_LIST_DIR}/gmime_tool.c)
target_link_libraries(gmime_tool PRIVATE tpn_flags PkgConfig::GMIME)
