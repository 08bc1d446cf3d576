/**
 * Waits until a server that was just started answers: up to five seconds, then the last refusal.
 *
 * @param ask Fails while it does not.
 */
export async function untilUp(ask: () => Promise<unknown>): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      await ask();
      return;
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
