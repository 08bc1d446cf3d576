import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fileFitted, shownOptions } from "../../policies/_file_fitted.ts";
import { type ModelFile, OptionError } from "../../policies/policy.ts";
import { fakeFacts } from "./_fake_tokens.ts";

const ABOUT = {
  name: "mine",
  summary: "Keeps as many last tokens as a file says.",
  options: {
    numbers: { kind: "model_file", about: "file of them" },
    more: { kind: "integer", min: 0, about: "tokens more" },
    less: { kind: "integer", min: 0, default: 1, about: "tokens less" },
  },
} as const;

const FILE: ModelFile = {
  kind: "mine",
  tensors: { recent: { shape: [1], data: Float32Array.of(7) } },
};

function mine(options: Parameters<typeof fileFitted<typeof ABOUT>>[1] = {}) {
  return fileFitted(ABOUT, options, {
    needs: { policy: "mine", make: "kvjudge train mine", shipped: [] },
    option: "numbers",
    source: ({ numbers }) => numbers,
    instead: "one token stays",
    parts: ({ more = 0, less }, file) => ({
      evidence: { kind: "none" },
      score: ({ length }) => new Float32Array(length),
      protect: { recent: (file?.tensors.recent?.data[0] ?? 1 + less) + more - less },
    }),
  });
}

Deno.test("fileFitted() makes a policy with its file for a model, and says where there is none", async () => {
  const facts = fakeFacts();
  const policy = mine({ numbers: FILE, more: 2 });
  assertEquals(policy.protect, { recent: 3 });
  assertEquals(policy.options, { numbers: "given numbers", more: 2, less: 1 });
  const fitted = await policy.forModel?.(facts);
  assertEquals([fitted?.name, fitted?.protect], ["mine", { recent: 8 }]);
  assertEquals([fitted?.options, fitted?.note], [policy.options, undefined]);
  assertEquals(fitted?.forModel, undefined);
  assertEquals(await policy.forModel?.(facts), fitted);

  const without = await mine().forModel?.(facts);
  assertEquals(without?.protect, { recent: 1 });
  assertEquals(without?.options, { numbers: "default", less: 1 });
  assertEquals(
    without?.note,
    "no file ships for this model, so one token stays; make one with `kvjudge train mine`",
  );
});

Deno.test("fileFitted() refuses options and files that are not the policy's", async () => {
  assertThrows(() => mine({ less: -1 }), OptionError, "'less' must be an integer of at least 0");
  await assertRejects(
    async () => await mine({ numbers: { ...FILE, kind: "other" } }).forModel?.(fakeFacts()),
    OptionError,
    "it was made for policy 'other'; make one with `kvjudge train mine`",
  );
});

Deno.test("shownOptions() puts files in words and leaves out what is absent", () => {
  const options = { inner: "snapkv", file: FILE, window: undefined, sinks: 0 };
  assertEquals(shownOptions(options, { file: "a.safetensors" }), {
    inner: "snapkv",
    file: "a.safetensors",
    sinks: 0,
  });
});
