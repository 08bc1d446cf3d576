import { assert, assertEquals } from "@std/assert";
import { startDeadline } from "../../../runtime/models/deadline.ts";

const never = new AbortController().signal;
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

Deno.test("startDeadline() aborts with a TimeoutError when time is up", async () => {
  using deadline = startDeadline(never, 5);
  await wait(30);
  assert(deadline.signal.aborted);
  assertEquals(deadline.signal.reason.name, "TimeoutError");
});

Deno.test("startDeadline() can be put off", async () => {
  using deadline = startDeadline(never, 5);
  deadline.extend(10_000);
  await wait(30);
  assertEquals(deadline.signal.aborted, false);
});

Deno.test("startDeadline() aborts with the outer signal's reason", () => {
  const outer = new AbortController();
  using deadline = startDeadline(outer.signal, 10_000);
  outer.abort("stop");
  assertEquals(deadline.signal.reason, "stop");
});
