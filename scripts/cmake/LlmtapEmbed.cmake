# SPDX-License-Identifier: Apache-2.0
enable_language(ASM)

# llmtap_embed(target file symbol): the bytes of `file` in `target`, between symbol_begin and symbol_end.
# Rebuilt when the file changes. The path stays in the build tree.
function(llmtap_embed target file symbol)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.S)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
.section .rodata.@symbol@,"a"
.balign 16
.global @symbol@_begin
.global @symbol@_end
@symbol@_begin:
.incbin "@file@"
@symbol@_end:
.byte 0
.section .note.GNU-stack,"",%progbits
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${source})
endfunction()
