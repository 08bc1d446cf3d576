import { assert } from "@std/assert";

/** Waits until something has happened: for a minute, as other tests may keep the machine busy. */
export async function until(done: () => boolean): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    assert(tries < 6000, "it did not happen within a minute");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
