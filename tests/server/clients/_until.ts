import { assert } from "@std/assert";

/** Waits until something has happened, for 5 seconds at most. */
export async function until(done: () => boolean): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    assert(tries < 500, "it did not happen within 5 seconds");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
