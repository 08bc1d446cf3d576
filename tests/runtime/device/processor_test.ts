import { assert, assertEquals } from "@std/assert";
import { defaultThreads, prefillArithmetic } from "../../../runtime/device/processor.ts";

const cpu = (flags: string) => () => `processor\t: 0\nflags\t\t: ${flags}\nbugs\t\t: vnni\n`;

Deno.test("prefillArithmetic() uses whole numbers where bytes are multiplied natively", () => {
  assertEquals(prefillArithmetic("x64", cpu("fpu avx2 avx512f avx512_vnni")), "integer");
  assertEquals(prefillArithmetic("x64", cpu("fpu avx2 avx_vnni")), "integer");
  assertEquals(prefillArithmetic("arm64", () => ""), "integer");
});

Deno.test("prefillArithmetic() uses floats elsewhere and where it cannot know", () => {
  assertEquals(
    prefillArithmetic("x64", cpu("fpu avx2 avx512f not_avx_vnni avx_vnni_int8")),
    "float",
  );
  assertEquals(prefillArithmetic("x64", () => "no such line"), "float");
  const refuse = () => {
    throw new Deno.errors.NotCapable("no read access");
  };
  assertEquals(prefillArithmetic("x64", refuse), "float");
});

Deno.test("prefillArithmetic() answers for this machine", () => {
  assert(["integer", "float"].includes(prefillArithmetic()));
});

Deno.test("defaultThreads() is at least one", () => {
  assert(Number.isInteger(defaultThreads()) && defaultThreads() >= 1);
});
