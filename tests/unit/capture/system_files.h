// SPDX-License-Identifier: Apache-2.0
// Real programs and libraries of the machine, where there are.
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>

#include "capture/elf_file.h"
#include "capture/unique_fd.h"

namespace llmtap::testing {

inline std::string find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/" + name).c_str(), X_OK) == 0) return folder + "/" + name;
  return {};
}

inline std::string find_library(const char* soname) {
  void* const handle = ::dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) return {};
  std::string path;
  Dl_info info{};
  if (void* const symbol = ::dlsym(handle, "SSL_read"); symbol && ::dladdr(symbol, &info) && info.dli_fname)
    path = info.dli_fname;
  ::dlclose(handle);
  return path;
}

// A file held open beside its reader.
class OpenElf {
 public:
  explicit OpenElf(const std::string& path)
      : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
        source_(file_.get()),
        elf_(ElfFile::open(source_)) {}
  bool ok() const { return elf_.has_value(); }
  const ElfFile& operator*() const { return *elf_; }
  const ElfFile* operator->() const { return &*elf_; }

 private:
  UniqueFd file_;
  FdSource source_;
  Result<ElfFile> elf_;
};

}  // namespace llmtap::testing
