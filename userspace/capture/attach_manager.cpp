// SPDX-License-Identifier: Apache-2.0
#include "capture/attach_manager.h"

#include <sys/stat.h>

#include <algorithm>

namespace llmtap {
namespace {

// The attacher's words come from the kernel; a label needs a closed list.
std::string failure_reason(std::string_view message) {
  const auto has = [&](std::string_view text) { return message.find(text) != std::string_view::npos; };
  if (has("Operation not permitted") || has("Permission denied")) return "attach_not_permitted";
  if (has("Invalid argument") || has("not supported")) return "attach_refused";
  if (has("Cannot allocate") || has("No space") || has("Too many")) return "attach_no_resources";
  return "attach_failed";
}

std::pair<uint32_t, uint64_t> key_of(ProcessKey process) { return {process.tgid, process.start_ns}; }

}  // namespace

// The kernel side outlives it, and with it what stands there of own links.
AttachManager::~AttachManager() {
  for (auto& [key, file] : files_) drop(file);
}

bool AttachManager::is_negative(const FileKey& key) const {
  const auto it = files_.find(key);
  return it != files_.end() && it->second.runtimes.empty();
}

void AttachManager::make_room() {
  if (files_.size() < options_.files) return;
  std::erase_if(files_, [](const auto& entry) {
    return entry.second.users.empty() && !entry.second.link && entry.second.narrowed.number == 0;
  });
}

AttachManager::File* AttachManager::look_up(uint32_t tgid, const Mapping& mapping) {
  const auto known = files_.find(mapping.file);
  if (known != files_.end() && known->second.pass == pass_) return &known->second;

  struct stat status{};
  const auto opened = procfs_.open_mapping(tgid, mapping);
  if (!opened || ::fstat(opened->get(), &status) != 0) return nullptr;
  const int64_t changed_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  if (known != files_.end()) {
    File& file = known->second;
    file.pass = pass_;
    if (file.size == status.st_size && file.changed_ns == changed_ns) return &file;
  }
  // New, or another file under an old inode number, or rewritten in place: the old places are wrong.
  if (known == files_.end()) make_room();
  File& file = files_[mapping.file];
  drop(file);
  file.size = status.st_size;
  file.changed_ns = changed_ns;
  file.generation = ++generations_;
  file.pass = pass_;
  file.attach_pass = 0;
  file.path = mapping.path;
  examine(opened->get(), file);
  return &file;
}

void AttachManager::examine(int fd, File& file) {
  file.runtimes.clear();
  file.places.clear();
  file.placement.clear();
  file.single_stepped = false;
  file.fallback = {};
  file.refused.clear();
  bool has_fallback = false;
  const FdSource source(fd);
  const auto elf = ElfFile::open(source);
  if (!elf) return;
  for (const TlsRuntime& runtime : runtimes_) {
    if (runtime.only_if_none && !file.runtimes.empty()) continue;
    if (!runtime.recognise(*elf)) continue;
    if (!runtime.plan) {
      file.runtimes.push_back(
          {std::string(runtime.name), CoverageState::kOpaque, std::string(runtime.opaque_reason)});
      continue;
    }
    auto plan = runtime.plan(*elf);
    if (!plan) {
      file.runtimes.push_back({std::string(runtime.name), CoverageState::kOpaque, "no_place"});
      ++failures_[{std::string(runtime.name), "no_place"}];
      continue;
    }
    file.runtimes.push_back({std::string(runtime.name), CoverageState::kClear, {}});
    file.places.insert(file.places.end(), plan->places.begin(), plan->places.end());
    file.placement += (file.placement.empty() ? "" : "; ") + plan->placement;
    file.single_stepped |= plan->single_stepped;
    const bool exported = !plan->fallback.empty();
    has_fallback |= exported;
    const auto& places = exported ? plan->fallback : plan->places;
    file.fallback.places.insert(file.fallback.places.end(), places.begin(), places.end());
    file.fallback.placement += (file.fallback.placement.empty() ? "" : "; ") +
                               (exported ? plan->fallback_placement : plan->placement);
    file.fallback.single_stepped |= exported ? plan->fallback_single_stepped : plan->single_stepped;
  }
  if (!has_fallback) file.fallback = {};
  const auto checked = self_checked_code(*elf);
  if (!checked) return;
  const auto first = elf->code_offset(checked->first), last = elf->code_offset(checked->second);
  const auto inside = [&](const HookPlace& place) {
    return first && last && place.offset >= *first && place.offset < *last;
  };
  if (std::ranges::any_of(file.places, inside) || std::ranges::any_of(file.fallback.places, inside))
    refuse(file, "self_checked_code");
}

void AttachManager::drop(File& file) {
  if (file.narrowed.number) narrower_.leave(file.narrowed);
  file.link.reset();
}

void AttachManager::refuse(File& file, const std::string& reason) {
  file.refused = reason;
  drop(file);
  for (RuntimeUse& use : file.runtimes)
    if (use.state == CoverageState::kClear) use.state = CoverageState::kOpaque, use.reason = reason;
}

void AttachManager::refuse(ProcessKey process, const std::string& reason) {
  const auto held = files_by_process_.find(key_of(process));
  if (held == files_by_process_.end()) return;
  for (const FileKey& key : held->second)
    if (const auto file = files_.find(key); file != files_.end()) refuse(file->second, reason);
}

bool AttachManager::inspect(uint32_t tgid, const std::vector<Mapping>& mappings) {
  bool found = false;
  for (const Mapping& mapping : mappings)
    if (const File* const file = look_up(tgid, mapping)) found |= !file->runtimes.empty();
  return found;
}

void AttachManager::attach(uint32_t tgid, const Mapping& mapping, File& file) {
  if (file.link || file.places.empty() || file.attach_pass == pass_ || !file.refused.empty()) return;
  if (file.narrowed.policy.state() == NarrowPolicy::State::kNarrow) return;
  const auto opened = procfs_.open_mapping(tgid, mapping);
  if (!opened) return;  // the process is gone; another user or the next scan tries again
  file.attach_pass = pass_;
  // Through our own descriptor: the same file whatever the process does meanwhile, and deleted files
  // and other mount namespaces are as reachable as any.
  const std::string path = "/proc/self/fd/" + std::to_string(opened->get());
  if (file.narrowed.number == 0) narrower_.enter(file.narrowed);
  auto link = attacher_.attach(path, file.places, narrower_.shared_reach(file.narrowed));
  // The kernel's own decoder may refuse a place that ours took; nothing at all is never better.
  if (!link && !file.fallback.places.empty()) {
    ++failures_[{file.runtimes.front().runtime, "internal_refused"}];
    link = attacher_.attach(path, file.fallback.places, narrower_.shared_reach(file.narrowed));
    if (link) {
      file.places = std::move(file.fallback.places);
      file.placement = std::move(file.fallback.placement);
      file.single_stepped = file.fallback.single_stepped;
      file.fallback = {};
    }
  }
  for (RuntimeUse& use : file.runtimes) {
    const bool was_attempted = use.state == CoverageState::kClear || use.reason.starts_with("attach_");
    if (!was_attempted) continue;
    use.state = link ? CoverageState::kClear : CoverageState::kOpaque;
    use.reason = link ? std::string() : failure_reason(link.error().message);
    if (!link) ++failures_[{use.runtime, use.reason}];
  }
  if (link)
    file.link = std::move(*link);
  else
    narrower_.leave(file.narrowed);
}

std::vector<RuntimeUse> AttachManager::use(ProcessKey process, const std::vector<Mapping>& mappings,
                                           Time now) {
  std::set<FileKey>& held = files_by_process_[key_of(process)];
  std::set<FileKey> now_held;
  std::vector<RuntimeUse> uses;
  for (const Mapping& mapping : mappings) {
    const auto it = files_.find(mapping.file);
    if (it == files_.end() || it->second.runtimes.empty()) continue;
    File& file = it->second;
    file.users.try_emplace(key_of(process), now);
    now_held.insert(mapping.file);
    attach(process.tgid, mapping, file);
    for (const RuntimeUse& use : file.runtimes)
      if (std::ranges::find(uses, use) == uses.end()) uses.push_back(use);
  }
  for (const FileKey& key : held) {
    if (now_held.contains(key)) continue;
    const auto it = files_.find(key);
    if (it == files_.end()) continue;
    it->second.users.erase(key_of(process));
    narrower_.end_use(it->second.narrowed, key_of(process));
    it->second.unused_since = now;
  }
  held = std::move(now_held);
  if (held.empty()) files_by_process_.erase(key_of(process));
  return uses;
}

void AttachManager::forget(ProcessKey process, Time now) {
  const auto it = files_by_process_.find(key_of(process));
  if (it == files_by_process_.end()) return;
  for (const FileKey& key : it->second) {
    const auto file = files_.find(key);
    if (file == files_.end()) continue;
    file->second.users.erase(key_of(process));
    narrower_.end_use(file->second.narrowed, key_of(process));
    file->second.unused_since = now;
  }
  files_by_process_.erase(it);
}

bool AttachManager::touch(const FileKey& key, Time now) {
  const auto file = files_.find(key);
  return file != files_.end() && narrower_.touch(file->second.narrowed, now);
}

void AttachManager::touch_files_of(ProcessKey process, Time now) {
  const auto held = files_by_process_.find(key_of(process));
  if (held == files_by_process_.end()) return;
  for (const FileKey& key : held->second) touch(key, now);
}

// Through whoever still maps it.
Result<UniqueFd> AttachManager::open(const FileKey& key, const File& file) const {
  for (const auto& [user, since] : file.users) {
    const auto mappings = procfs_.mappings({user.first, user.second});
    if (!mappings) continue;
    const auto mapping = std::ranges::find(*mappings, key, &Mapping::file);
    if (mapping == mappings->end()) continue;
    if (auto opened = procfs_.open_mapping(user.first, *mapping)) return opened;
  }
  return Error{"no process maps " + file.path + " any more"};
}

AttachManager::Time AttachManager::narrow(Time now) {
  narrower_.read_hits();
  Time next = Time::max();
  for (auto& [key, file] : files_) {
    const bool narrow = file.narrowed.policy.state() == NarrowPolicy::State::kNarrow;
    if (file.narrowed.number == 0 || (!file.link && !narrow)) continue;
    narrower_.step(file.narrowed, {file.places, file.link, file.users, [&] { return open(key, file); }}, now);
    next = std::min(next, narrower_.due(file.narrowed));
  }
  return next;
}

AttachManager::Time AttachManager::collect(Time now) {
  Time next = Time::max();
  for (auto it = files_.begin(); it != files_.end();) {
    File& file = it->second;
    const bool idle = !file.runtimes.empty() && file.users.empty();
    // Forgotten whole: the link holds the inode, so without it the number may be given to another file.
    if (idle && now - file.unused_since >= options_.linger) {
      drop(file);
      it = files_.erase(it);
      continue;
    }
    if (idle) next = std::min(next, file.unused_since + options_.linger);
    ++it;
  }
  return next;
}

void AttachManager::describe(Coverage& coverage) const {
  for (const auto& [key, file] : files_) {
    if (file.places.empty() || file.users.empty()) continue;
    for (const RuntimeUse& use : file.runtimes)
      if (use.state == CoverageState::kClear || use.reason.starts_with("attach_"))
        coverage.targets.push_back(
            {use.runtime, file.path, key.major, key.minor, key.inode, file.generation, file.placement,
             file.single_stepped, file.places.size(), file.users.size(),
             file.link != nullptr || file.narrowed.policy.state() == NarrowPolicy::State::kNarrow,
             file.narrowed.policy.state() == NarrowPolicy::State::kNarrow, file.narrowed.own.size()});
  }
  coverage.attach_failures = failures_;
}

}  // namespace llmtap
