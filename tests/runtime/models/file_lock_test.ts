import { assertEquals, assertRejects } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { lockFile, type LockOptions } from "../../../runtime/models/file_lock.ts";
import { temporaryFolder } from "./_context.ts";

const options: LockOptions = {
  signal: new AbortController().signal,
  sleep: () => new Promise((resolve) => setTimeout(resolve, 1)),
  onWait: () => {},
};

Deno.test("lockFile() lets one holder in at a time", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/sub/a.lock`;
  const order: string[] = [];
  const { promise: waits, resolve: onWait } = Promise.withResolvers<void>();
  const first = await lockFile(path, options);
  const second = lockFile(path, { ...options, onWait }).then((lock) => {
    order.push("second");
    lock[Symbol.dispose]();
  });
  await waits;
  // Time for it to come in, which it must not.
  await new Promise((resolve) => setTimeout(resolve, 30));
  order.push("free");
  first[Symbol.dispose]();
  await second;
  assertEquals(order, ["free", "second"]);
});

Deno.test("lockFile() is freed when the process that holds it is killed", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/a.lock`;
  const module = new URL("../../../runtime/models/file_lock.ts", import.meta.url);
  const script = `
    import { lockFile } from ${JSON.stringify(module.href)};
    const options = { signal: new AbortController().signal, sleep() {}, onWait() {} };
    const lock = await lockFile(${JSON.stringify(path)}, options);
    console.log("held");
    setInterval(() => lock, 1000);
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", "--no-check", script],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value).trim(), "held");
  let waited = false;
  const lock = lockFile(path, {
    ...options,
    onWait: () => {
      waited = true;
      child.kill("SIGKILL");
    },
  });
  (await lock)[Symbol.dispose]();
  assertEquals(waited, true);
  await child.status;
  await reader.cancel();
});

Deno.test("lockFile() stops waiting when the caller aborts", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/a.lock`;
  using _held = await lockFile(path, options);
  const sleep = () => Promise.reject(new Error("Ctrl-C"));
  await assertRejects(() => lockFile(path, { ...options, sleep }), Error, "Ctrl-C");
});

Deno.test("lockFile() names a folder that cannot be made", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/sub`, "");
  await assertRejects(
    () => lockFile(`${folder.path}/sub/a.lock`, options),
    FetchError,
    "Cannot store",
  );
});
