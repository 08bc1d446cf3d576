import { callCli } from "./_call_cli.ts";
import { startCli, testFolder, textModel } from "./_run_cli.ts";
import { conversations } from "../training/_run.ts";

/** A tiny model and data for it, to run `kvjudge train` on. */
export interface TrainCliBench extends Disposable {
  readonly folder: string;
  readonly model: string;
  readonly data: string;
  /** Arguments of a run that takes a second. */
  args(out: string, ...more: string[]): string[];
  run(out: string, ...more: string[]): ReturnType<typeof callCli>;
  start(out: string, ...more: string[]): ReturnType<typeof startCli>;
  /** Names of the files and folders that lie beside model and data. */
  made(): string[];
}

/** Makes a bench in a folder that vanishes. */
export async function trainCliBench(): Promise<TrainCliBench> {
  const folder = testFolder();
  const { path } = folder;
  const model = await textModel(path);
  const data = `${path}/data.jsonl`;
  await Deno.writeTextFile(data, conversations(14));
  const env = { KVJUDGE_HOME: `${path}/home` };
  const args = (out: string, ...more: string[]) => {
    const { adapted, rest } = more[0] === "lookahead-kv"
      ? { adapted: true, rest: more.slice(1) }
      : { adapted: false, rest: more };
    const given = new Set(rest);
    const defaults = Object.entries({
      "--model": model,
      "--data": data,
      "--out": out.startsWith("/") ? out : `${path}/${out}`,
      "--tokens": "4",
      "--samples": "6",
      "--validate": "2",
      "--response-tokens": "4",
      "--init": "random",
      "--threads": "1",
    }).filter(([flag]) => !given.has(flag)).flat();
    return ["train", adapted ? "lookahead-kv" : "judge-q", ...defaults, ...rest];
  };
  return {
    folder: path,
    model,
    data,
    args,
    run: (out, ...more) => callCli(args(out, ...more), { env }),
    start: (out, ...more) => startCli(args(out, ...more), { env }),
    made: () =>
      [...Deno.readDirSync(path)].map(({ name }) => name)
        .filter((name) => !["data.jsonl", "home", "text-model"].includes(name)).sort(),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
