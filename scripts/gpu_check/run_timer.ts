import * as ort from "npm:onnxruntime-node@1.30.0";

/** Time inside onnxruntime, of all its sessions in this process. */
export interface RunTimes {
  runs: number;
  milliseconds: number;
}

/** Counts runs of all sessions that are made from now on, and the time that they take. */
export function timeRuns(): RunTimes {
  const times: RunTimes = { runs: 0, milliseconds: 0 };
  const sessions = ort.InferenceSession;
  const create = sessions.create.bind(sessions);
  sessions.create = async (...given: Parameters<typeof create>) => {
    const session = await create(...given);
    const run = session.run.bind(session);
    session.run = async (...feeds: Parameters<typeof run>) => {
      const start = performance.now();
      try {
        return await run(...feeds);
      } finally {
        times.runs++;
        times.milliseconds += performance.now() - start;
      }
    };
    return session;
  };
  return times;
}
