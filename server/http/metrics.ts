import { Counter, Gauge, Histogram, Registry } from "npm:prom-client@15.1.3";
import type { GenerationEvent } from "../scheduler/events.ts";
import type { Scheduler, SchedulerStats } from "../scheduler/scheduler.ts";

/** Counts and times for Prometheus, under the names that vLLM's have where they mean the same. */
export interface ServerMetrics {
  /** Watches a request's events go by. */
  watch(events: AsyncIterable<GenerationEvent>): AsyncGenerator<GenerationEvent, void>;
  /** Counts a reply. */
  replied(route: string, status: number): void;
  /** All in Prometheus' text form. */
  text(): Promise<string>;
  readonly contentType: string;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const BETWEEN_TOKENS = [0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5];

/** Gauges and counters that are read off the scheduler when somebody looks. */
const FROM_STATS: readonly [string, string, (stats: SchedulerStats) => number][] = [
  ["num_requests_running", "Requests that are being read or answered", (s) => s.running],
  ["num_requests_waiting", "Requests in the queue", (s) => s.waiting],
  ["kv_cache_bytes", "Bytes of KV caches", (s) => s.cacheBytes],
  [
    "kv_cache_usage_perc",
    "Share of the memory for KV caches that is taken, 0 to 1",
    (s) => s.cacheMemory > 0 ? s.cacheBytes / s.cacheMemory : 0,
  ],
];
const COUNTED: readonly [string, string, (stats: SchedulerStats) => number][] = [
  [
    "prefix_cache_queries",
    "Prompt tokens looked for among those read before",
    (s) => s.prefixQueries,
  ],
  ["prefix_cache_hits", "Prompt tokens found among those read before", (s) => s.prefixHits],
  ["prompt_tokens_total", "Prompt tokens", (s) => s.promptTokens],
  ["generation_tokens_total", "Tokens written", (s) => s.generationTokens],
  ["evictions_total", "Evictions of a cache", (s) => s.evictions],
  ["engine_steps_total", "Decoding steps", (s) => s.steps],
  ["engine_step_tokens_total", "Tokens in decoding steps", (s) => s.stepTokens],
];

/**
 * Makes the metrics of a server.
 *
 * @param now Milliseconds since some moment.
 */
export function createMetrics(
  scheduler: Pick<Scheduler, "stats">,
  now: () => number,
): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  for (const [name, help, read] of FROM_STATS) {
    new Gauge({
      name: `kvjudge:${name}`,
      help,
      registers,
      collect() {
        this.set(read(scheduler.stats()));
      },
    });
  }
  for (const [name, help, read] of COUNTED) {
    new Counter({
      name: `kvjudge:${name}`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read(scheduler.stats()));
      },
    });
  }
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `kvjudge:${name}`, help, buckets, registers });
  const first = histogram("time_to_first_token_seconds", "Until the first token", SECONDS);
  const between = histogram("inter_token_latency_seconds", "Between two tokens", BETWEEN_TOKENS);
  const whole = histogram("e2e_request_latency_seconds", "Until the last token", SECONDS);
  const replies = new Counter({
    name: "kvjudge:http_replies_total",
    help: "Replies by route and status",
    labelNames: ["route", "status"],
    registers,
  });
  return {
    async *watch(events) {
      const begun = now();
      const last = new Map<number, number>();
      for await (const event of events) {
        if (event.kind === "token") {
          const at = now();
          const before = last.get(event.choice);
          if (before !== undefined) between.observe((at - before) / 1000);
          else if (last.size === 0) first.observe((at - begun) / 1000);
          last.set(event.choice, at);
        }
        if (event.kind === "done") whole.observe((now() - begun) / 1000);
        yield event;
      }
    },
    replied: (route, status) => replies.inc({ route, status: String(status) }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
