// SPDX-License-Identifier: Apache-2.0
#include "capture/process_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "capture/workload_name.h"

namespace llmtap {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(ParseMaps, KeepsTheFirstExecutableMappingOfEachFile) {
  const auto mappings = parse_maps(
      "55d0c0000000-55d0c0001000 r--p 00000000 fe:01 100                        /usr/bin/x\n"
      "55d0c0001000-55d0c0002000 r-xp 00001000 fe:01 100                        /usr/bin/x\n"
      "55d0c0003000-55d0c0004000 r-xp 00003000 fe:01 100                        /usr/bin/x\n"
      "7f0000000000-7f0000001000 r-xp 00000000 00:2a 18446744073709551615       /a b/lib.so (deleted)\n"
      "7f0000001000-7f0000002000 rwxp 00000000 00:00 0                          [heap]\n"
      "7ffe00000000-7ffe00001000 r-xp 00000000 00:00 0                          [vdso]\n"
      "7f0000004000-7f0000005000 --xp 00000000 00:01 7\n");
  ASSERT_EQ(mappings.size(), 3u);
  EXPECT_EQ(mappings[0].file, (FileKey{0xfe, 1, 100}));
  EXPECT_EQ(mappings[0].range, "55d0c0001000-55d0c0002000");
  EXPECT_EQ(mappings[0].path, "/usr/bin/x");
  EXPECT_EQ(mappings[1].file, (FileKey{0, 0x2a, UINT64_MAX}));
  EXPECT_EQ(mappings[1].path, "/a b/lib.so");
  EXPECT_EQ(mappings[2].path, "");
}

TEST(ParseMaps, SkipsLinesThatAreNone) {
  EXPECT_TRUE(parse_maps("").empty());
  EXPECT_TRUE(
      parse_maps("\n\n x\n1-2 r-xp\n1-2 r-xp 0 fe01 5 /x\n1-2 r-xp 0 fe:01 z /x\n1-2 r-xp 0 f").empty());
}

struct CgroupCase {
  const char* name;
  std::string text;
  std::string path, container, unit;
};
class CgroupTest : public ::testing::TestWithParam<CgroupCase> {};
TEST_P(CgroupTest, IsReadAsFacts) {
  const CgroupFacts facts = parse_cgroup(GetParam().text);
  EXPECT_EQ(facts.path, GetParam().path);
  EXPECT_EQ(facts.container_id, GetParam().container);
  EXPECT_EQ(facts.unit, GetParam().unit);
}
INSTANTIATE_TEST_SUITE_P(
    Cases, CgroupTest,
    ::testing::Values(
        CgroupCase{"Service", "0::/system.slice/litellm.service\n", "/system.slice/litellm.service", "",
                   "litellm.service"},
        CgroupCase{"Docker", "0::/system.slice/docker-" + kId + ".scope\n",
                   "/system.slice/docker-" + kId + ".scope", kId, ""},
        CgroupCase{"Pod", "0::/kubepods.slice/kubepods-pod1a.slice/cri-containerd-" + kId + ".scope\n",
                   "/kubepods.slice/kubepods-pod1a.slice/cri-containerd-" + kId + ".scope", kId, ""},
        CgroupCase{"LoginSession", "0::/user.slice/user-1000.slice/session-3.scope\n",
                   "/user.slice/user-1000.slice/session-3.scope", "", ""},
        CgroupCase{
            "UserService", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/agent.service\n",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/agent.service", "", "agent.service"},
        CgroupCase{"UserManagerAlone", "0::/user.slice/user@1000.service/app.slice/x.scope\n",
                   "/user.slice/user@1000.service/app.slice/x.scope", "", ""},
        CgroupCase{"Version1", "5:cpu:/docker/" + kId + "\n1:name=systemd:/docker/" + kId + "\n",
                   "/docker/" + kId, kId, ""},
        CgroupCase{"TooManyDigits", "0::/x/" + kId + "0\n", "/x/" + kId + "0", "", ""},
        CgroupCase{"Root", "0::/\n", "/", "", ""}, CgroupCase{"Empty", "", "", "", ""}),
    [](const auto& row) { return row.param.name; });

struct ScriptCase {
  const char* name;
  std::string exe;
  std::vector<std::string> arguments;
  std::string script;
};
class ScriptTest : public ::testing::TestWithParam<ScriptCase> {};
TEST_P(ScriptTest, IsTheScriptOrModuleAndNoOtherWord) {
  EXPECT_EQ(interpreter_script(GetParam().exe, GetParam().arguments), GetParam().script);
}
INSTANTIATE_TEST_SUITE_P(
    Cases, ScriptTest,
    ::testing::Values(
        ScriptCase{
            "PythonScript", "/usr/bin/python3.11", {"python3", "/srv/app.py", "--key", "sk-1"}, "app.py"},
        ScriptCase{
            "PythonModule", "/usr/bin/python3.11", {"python", "-m", "litellm", "--port", "1"}, "litellm"},
        ScriptCase{"PythonJoined", "/usr/bin/python3", {"python", "-um", "pkg.cli"}, "pkg.cli"},
        ScriptCase{"PythonGlued", "/usr/bin/python3", {"python", "-Imlitellm"}, "litellm"},
        ScriptCase{"PythonOptionValues",
                   "/usr/bin/python3",
                   {"python", "-X", "dev", "-Wignore", "-u", "a.py"},
                   "a.py"},
        ScriptCase{"PythonCommand", "/usr/bin/python3", {"python", "-c", "secret = 1", "x.py"}, ""},
        ScriptCase{"PythonStandardInput", "/usr/bin/python3", {"python", "-", "secret"}, ""},
        ScriptCase{"PythonAlone", "/usr/bin/python3", {"python"}, ""},
        ScriptCase{"ConsoleScript",
                   "/usr/bin/python3.12",
                   {"/venv/bin/python3", "/venv/bin/litellm", "--x"},
                   "litellm"},
        ScriptCase{"Node", "/usr/bin/node", {"node", "--max-old-space-size=4096", "x.js", "tok"}, "x.js"},
        ScriptCase{
            "NodeRequire", "/usr/bin/node", {"node", "-r", "./hook.js", "/usr/local/bin/gemini"}, "gemini"},
        ScriptCase{"NodeEval", "/usr/bin/node", {"node", "-e", "fetch('secret')"}, ""},
        ScriptCase{"BunRun", "/opt/bun", {"bun", "run", "agent.ts"}, "agent.ts"},
        ScriptCase{"Dashes", "/usr/bin/node", {"node", "--", "-odd.js"}, "-odd.js"},
        ScriptCase{"JavaJar", "/usr/bin/java", {"java", "-Xmx1g", "-jar", "/srv/gw.jar"}, "gw.jar"},
        ScriptCase{
            "JavaClass", "/usr/bin/java", {"java", "-cp", "/a:/b", "com.x.Main", "secret"}, "com.x.Main"},
        ScriptCase{"NotAnInterpreter", "/usr/bin/curl", {"curl", "https://user:pass@host"}, ""},
        ScriptCase{"NameOnlyBeginsSo", "/usr/bin/nodejs-helper", {"x", "y"}, ""}),
    [](const auto& row) { return row.param.name; });

TEST(WorkloadName, TakesTheFirstThatApplies) {
  EXPECT_EQ(workload_name({"", kId, "x.service"}, "a.py", "/usr/bin/python3", "c"), "0123456789ab");
  EXPECT_EQ(workload_name({"", "", "x.service"}, "a.py", "/usr/bin/python3", "c"), "x.service");
  EXPECT_EQ(workload_name({}, "a.py", "/usr/bin/python3", "c"), "a.py");
  EXPECT_EQ(workload_name({}, "", "/usr/bin/curl", "c"), "curl");
  EXPECT_EQ(workload_name({}, "", "", "comm"), "comm");
  EXPECT_EQ(workload_name({}, "", "", ""), "unknown");
}

TEST(WorkloadName, IsALabelWhateverTheScriptIsCalled) {
  EXPECT_EQ(workload_name({}, "a \"b\"\n.py", "", ""), "a__b__.py");
  EXPECT_EQ(workload_name({}, std::string(500, 'a'), "", "").size(), 64u);
}

TEST(ProcessEvent, HoldsTheFactsAsPairs) {
  ProcessRecord record;
  record.facts = {{42, 77}, "comm", "/usr/bin/python3", "app.py", kId, "/x", "u.service"};
  record.script = "app.py";
  const auto words = process_event(record, 5);
  llmtap_process_facts_event event;
  ASSERT_GE(words.size() * 8, sizeof(event));
  std::memcpy(&event, words.data(), sizeof(event));
  EXPECT_EQ(event.hdr.type, LLMTAP_EVENT_PROCESS);
  EXPECT_EQ(event.hdr.size, words.size() * 8);
  EXPECT_EQ(event.hdr.tgid, 42u);
  EXPECT_EQ(event.hdr.time_ns, 5u);
  EXPECT_EQ(event.process_start_ns, 77u);
  ASSERT_LE(sizeof(event) + event.text_bytes, event.hdr.size);
  const std::string_view text(reinterpret_cast<const char*>(words.data()) + sizeof(event), event.text_bytes);
  const auto parts = split_arguments(text);
  ASSERT_EQ(parts.size() % 2, 0u);
  std::map<std::string, std::string> pairs;
  for (size_t i = 0; i < parts.size(); i += 2) pairs[parts[i]] = parts[i + 1];
  EXPECT_EQ(pairs, (std::map<std::string, std::string>{{"exe", "/usr/bin/python3"},
                                                       {"comm", "comm"},
                                                       {"workload", "app.py"},
                                                       {"container_id", kId},
                                                       {"cgroup", "/x"},
                                                       {"unit", "u.service"},
                                                       {"script", "app.py"}}));
}

TEST(ProcFs, ReadsThisProcess) {
  const ProcFs proc;
  const auto self = static_cast<uint32_t>(::getpid());
  EXPECT_EQ(own_tgid(), self);
  EXPECT_THAT(proc.processes(), ::testing::Contains(self));
  const auto start = proc.start_ns(self);
  ASSERT_TRUE(start.has_value());
  const auto mappings = proc.mappings({self, *start});
  ASSERT_TRUE(mappings.has_value());
  EXPECT_FALSE(mappings->empty());
  EXPECT_FALSE(proc.mappings({self, *start + 1}).has_value()) << "another process under this number";
  const auto record = proc.record(self);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->facts.key, (ProcessKey{self, *start}));
  EXPECT_TRUE(record->facts.exe.ends_with("unit_capture")) << record->facts.exe;
  EXPECT_EQ(proc.parent(self), static_cast<uint32_t>(::getppid()));
}

}  // namespace
}  // namespace llmtap
