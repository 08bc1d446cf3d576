import { assertEquals, assertThrows } from "@std/assert";
import { OptionError } from "../../../policies/policy.ts";
import { InvalidRequestError } from "../../../server/http/request_error.ts";
import { policyPermit } from "../../../server/policies/permit.ts";

Deno.test("policies of the registry are permitted, wrapped ones too", () => {
  const permit = policyPermit([]);
  for (
    const policy of [
      "snapkv",
      "judge-q",
      "rerotate(ada_kv(snapkv(window=8)))",
      "judge_q(softTokens=untrained)",
    ]
  ) {
    permit(policy);
  }
});

Deno.test("files and URLs are permitted by patterns alone, wherever they stand", () => {
  const permit = policyPermit(["https://a.example/policies/*", "/srv/policies/**", "./mine.ts"]);
  for (
    const policy of [
      "https://a.example/policies/x.ts",
      "https://a.example/policies/x.ts(share=0.5)",
      "/srv/policies/deep/er/x.ts",
      "./mine.ts(snapkv)",
      "rerotate(/srv/policies/x.ts)",
    ]
  ) permit(policy);
  for (
    const policy of [
      "https://a.example/policies/deeper/x.ts",
      "https://a.example/policies/../x.ts",
      "https://a.example/policies/%2e%2e/x.ts",
      "https://b.example/policies/x.ts",
      "http://a.example/policies/x.ts",
      "https://a.example.evil/policies/x.ts",
      "/srv/policies/../x.ts",
      "/srv/policies.ts",
      "/etc/x.ts",
      "./other.ts",
      "file:///etc/x.ts",
      "rerotate(/etc/x.ts)",
      "compose(snapkv, /etc/x.ts)",
    ]
  ) {
    const error = assertThrows(() => permit(policy), InvalidRequestError);
    assertEquals([error.problem.status, error.problem.param], [403, "eviction.policy"], policy);
  }
});

Deno.test("what a policy reads from a file is held to the patterns too", () => {
  const permit = policyPermit(["/srv/soft/*"]);
  permit("judge_q(softTokens=/srv/soft/a.safetensors)");
  for (
    const policy of [
      "judge_q(softTokens=/etc/passwd)",
      "rerotate(judge_q(softTokens=/srv/soft/../passwd))",
      "judge_q(softTokens=https://a.example/x)",
      'judge_q(softTokens={"vectors": []})',
    ]
  ) assertThrows(() => permit(policy), InvalidRequestError, "softTokens", policy);
});

Deno.test("broken expressions and unknown names are told as everywhere", () => {
  const permit = policyPermit([]);
  assertThrows(() => permit("snapvk"), OptionError, "did you mean 'snapkv'?");
  assertThrows(() => permit("snapkv("), OptionError);
  const deep = `${"rerotate(".repeat(9)}snapkv${")".repeat(9)}`;
  assertThrows(() => permit(deep), InvalidRequestError, "more than 8");
});
