// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "pipeline/daemon.h"
#include "pipeline/doctor.h"

namespace {

// Started with `>&-`, the next file to be opened would become standard output, and lines would be
// written into it. Read-only, so that writing fails and is counted.
void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF && ::open("/dev/null", O_RDONLY) != fd) ::_exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  llmtap::Environment environment;
  for (char** entry = ::environ; entry && *entry; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos)
      environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  const llmtap::Operations operations{llmtap::run_daemon, llmtap::record, llmtap::replay,
                                      llmtap::examine_node};
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return llmtap::run_command_line(arguments, {operations, environment, std::cout, std::cerr});
}
