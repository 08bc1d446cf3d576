import { assert, assertEquals, assertRejects } from "@std/assert";
import { inLargePages } from "../../kernels/large_pages.ts";

const MEBIBYTE = 1 << 20;

/** Whether the system has large pages, and lays them out when asked: Linux 6.1 and later. */
function hasLargePages(): boolean {
  if (Deno.build.os !== "linux") return false;
  const [, major = 0, minor = 0] = /^(\d+)\.(\d+)/.exec(Deno.osRelease())?.map(Number) ?? [];
  try {
    const enabled = Deno.readTextFileSync("/sys/kernel/mm/transparent_hugepage/enabled");
    return !enabled.includes("[never]") && (major > 6 || (major === 6 && minor >= 1));
  } catch {
    return false;
  }
}

/** Bytes of this process in large pages. */
function inLarge(): number {
  const smaps = Deno.readTextFileSync("/proc/self/smaps_rollup");
  return 1024 * Number(/^AnonHugePages:\s+(\d+)/m.exec(smaps)?.[1] ?? 0);
}

Deno.test({
  name: "inLargePages() lays what was loaded into large pages, and changes nothing of it",
  ignore: !hasLargePages(),
  async fn() {
    const before = inLarge();
    const loaded = await inLargePages(() =>
      Promise.resolve(new Uint8Array(64 * MEBIBYTE).map((_, index) => index % 251))
    );
    assert(inLarge() - before >= 32 * MEBIBYTE, `${inLarge() - before} bytes are in large pages`);
    assertEquals(loaded.findIndex((value, index) => value !== index % 251), -1);
  },
});

Deno.test("inLargePages() passes on what loading gives, and its errors", async () => {
  assertEquals(await inLargePages(() => Promise.resolve(3)), 3);
  await assertRejects(
    () => inLargePages(() => Promise.reject(new Error("it is broken"))),
    Error,
    "it is broken",
  );
});
