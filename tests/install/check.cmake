# SPDX-License-Identifier: Apache-2.0
# Installs into an empty folder: everything is there, and the program runs from there.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
foreach(file ${BINDIR}/llmtap ${DATADIR}/llmtap/model-prices.json ${DOCDIR}/README.md ${DOCDIR}/LICENSE)
  if(NOT EXISTS ${PREFIX}/${file})
    message(FATAL_ERROR "not installed: ${file}")
  endif()
endforeach()
execute_process(COMMAND ${PREFIX}/${BINDIR}/llmtap version OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
if(NOT said MATCHES "^llmtap ${VERSION} ")
  message(FATAL_ERROR "llmtap version said: ${said}")
endif()
