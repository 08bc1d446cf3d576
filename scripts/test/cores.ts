/** Numbers of the cores that this process may run on, where the system can keep others to one of them. */
export async function ownCores(): Promise<readonly number[]> {
  try {
    const { success, stdout } = await new Deno.Command("taskset", {
      args: ["-cp", `${Deno.pid}`],
      stderr: "null",
    }).output();
    return success ? coresIn(new TextDecoder().decode(stdout)) : [];
  } catch {
    // There is no such program: all processes share all cores.
    return [];
  }
}

/** Of what `taskset -cp` says: `pid 7's current affinity list: 0-2,5`. */
export function coresIn(said: string): readonly number[] {
  const list = /: ([\d,-]+)\s*$/.exec(said)?.[1];
  return (list?.split(",") ?? []).flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}
