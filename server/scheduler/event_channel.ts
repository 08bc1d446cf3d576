/** Events on their way from who makes them to who takes them. */
export interface EventChannel<Event> {
  push(event: Event): void;
  /** Says that there are no more, or why. */
  end(error?: { readonly reason: unknown }): void;
  readonly events: AsyncIterable<Event>;
}

/** A channel that holds what was not taken yet. An error comes at once, before what is still held. */
export function createEventChannel<Event>(): EventChannel<Event> {
  const held: Event[] = [];
  let ended: { readonly error: { readonly reason: unknown } | undefined } | undefined;
  let wake = Promise.withResolvers<void>();

  async function* events(): AsyncGenerator<Event, void> {
    for (;;) {
      if (ended?.error) throw ended.error.reason;
      const event = held.shift();
      if (event !== undefined) {
        yield event;
        continue;
      }
      if (ended) return;
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
  }
  return {
    push(event) {
      if (ended) return;
      held.push(event);
      wake.resolve();
    },
    end(error) {
      ended ??= { error };
      wake.resolve();
    },
    events: events(),
  };
}
