import { setImmediate } from "node:timers";

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly found: PromiseWithResolvers<Result>;
}

/**
 * Does jobs that are asked for at the same time together, those that are alike in one piece of work: each
 * run waits for the device once. Work that fails fails for all of its jobs.
 *
 * @param work Gives a result for each job, in their order.
 */
export function together<Job, Result>(
  alike: (a: Job, b: Job) => boolean,
  work: (jobs: readonly [Job, ...Job[]]) => Promise<readonly Result[]>,
): (job: Job) => Promise<Result> {
  let waiting: Waiting<Job, Result>[] = [];
  const settle = async () => {
    let left = waiting;
    waiting = [];
    for (let [first, ...rest] = left; first; [first, ...rest] = left) {
      const { job } = first;
      const group = [first, ...rest.filter((one) => alike(job, one.job))];
      left = rest.filter((one) => !group.includes(one));
      try {
        const results = await work([job, ...group.slice(1).map((one) => one.job)]);
        for (const [index, result] of results.entries()) group[index]?.found.resolve(result);
      } catch (error) {
        for (const one of group) one.found.reject(error);
      }
    }
  };
  return (job) => {
    const found = Promise.withResolvers<Result>();
    if (waiting.length === 0) setImmediate(settle);
    waiting.push({ job, found });
    return found.promise;
  };
}
