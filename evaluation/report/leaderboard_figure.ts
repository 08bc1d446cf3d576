import type { Board, Standing } from "./boards.ts";
import { draw } from "./draw.ts";
import { policyChannels } from "./palette.ts";

const SIZE = { width: 330, height: 260 };

/** Milliseconds below which a scale of powers shows no difference. */
const LEAST = 0.1;

/** Score against bytes, and against the time that evicting takes, of each variant. */
export function leaderboardFigure(
  boards: readonly Board[],
  policies: readonly string[],
): Promise<string> {
  const { color, shape } = policyChannels(policies);
  return draw(
    "Score against memory, and against the time of eviction; dashed: the whole cache",
    "Score of each policy against the bytes of its cache and the milliseconds of its eviction",
    {
      columns: 2,
      concat: boards.flatMap((board) => [
        panel(board, "cache after eviction (MiB)", "linear", { color, shape }, pointsInBytes),
        panel(board, "eviction (ms)", "log", { color, shape }, pointInTime),
      ]),
    },
  );
}

interface Point {
  readonly policy: string;
  readonly x: number;
  readonly score: number;
}

function pointsInBytes({ policy, scores, bytes }: Standing): readonly Point[] {
  return scores.flatMap((score, at) =>
    score === null ? [] : [{ policy, x: (bytes[at] ?? 0) / 2 ** 20, score }]
  );
}

function pointInTime({ policy, mean, evict }: Standing): readonly Point[] {
  return mean === null ? [] : [{ policy, x: Math.max(LEAST, evict), score: mean }];
}

function panel(
  { variant, full, standings }: Board,
  title: string,
  type: "linear" | "log",
  channels: ReturnType<typeof policyChannels>,
  pointsOf: (standing: Standing) => readonly Point[],
) {
  const values = standings.flatMap(pointsOf);
  const y = {
    field: "score",
    type: "quantitative",
    title: type === "log" ? "mean score (%)" : "score (%)",
    scale: { domain: [0, 100] },
  };
  const encoding = {
    x: {
      field: "x",
      type: "quantitative",
      title,
      scale: type === "log" ? { type } : { zero: false },
    },
    y,
    color: channels.color,
  };
  return {
    ...SIZE,
    title: { text: variant, fontSize: 12, anchor: "start" },
    layer: [
      {
        data: { values: full.mean === null ? [] : [{ score: full.mean }] },
        mark: { type: "rule", color: "#444444", strokeDash: [5, 3] },
        encoding: { x: { value: 0 }, x2: { value: "width" }, y },
      },
      { data: { values }, mark: { type: "line", strokeWidth: 1 }, encoding },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 34, opacity: 1 },
        encoding: { ...encoding, shape: channels.shape },
      },
    ],
  };
}
