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
  const { create } = sessions;
  const timed = async (...given: unknown[]) => {
    const session: ort.InferenceSession = await Reflect.apply(create, sessions, given);
    const { run } = session;
    const timedRun = async (...feeds: unknown[]) => {
      const start = performance.now();
      try {
        return await Reflect.apply(run, session, feeds);
      } finally {
        times.runs++;
        times.milliseconds += performance.now() - start;
      }
    };
    // Both are overloaded, which a function of any arguments cannot say.
    session.run = timedRun as typeof run;
    return session;
  };
  sessions.create = timed as typeof create;
  return times;
}
