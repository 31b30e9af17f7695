# Flags of everything that we wrote: link tpn_flags. Generated code links tpn_hardening only.
add_library(tpn_hardening INTERFACE)
# -fPIE and -pie come from CMAKE_POSITION_INDEPENDENT_CODE. What is in the programs: tests/integration/56-hardening.py.
target_compile_definitions(tpn_hardening INTERFACE _GNU_SOURCE)
target_compile_options(tpn_hardening INTERFACE -fstack-protector-strong -fvisibility=hidden
  $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>
  $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fstack-clash-protection>)
target_link_options(tpn_hardening INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

# Needs an optimising compiler, and hides calls from the sanitizers.
if(NOT TPN_SANITIZE)
  target_compile_definitions(tpn_hardening INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()

if(TPN_SANITIZE)
  target_compile_options(tpn_hardening INTERFACE -fsanitize=${TPN_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(tpn_hardening INTERFACE -fsanitize=${TPN_SANITIZE})
endif()

add_library(tpn_flags INTERFACE)
target_link_libraries(tpn_flags INTERFACE tpn_hardening)
target_compile_options(tpn_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wcast-qual -Wundef -Wvla -Wwrite-strings
  -Wpointer-arith $<$<BOOL:${TPN_WERROR}>:-Werror>
  # clang sees into the INIT macros of protobuf-c, which cast const away and give an enum an int, and knows no
  # format of a function that takes a va_list; gcc, which the dev preset uses, does not.
  $<$<C_COMPILER_ID:Clang>:-Wno-cast-qual -Wno-sign-conversion -Wno-format-nonliteral>)
