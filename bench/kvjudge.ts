import type { Precision } from "../runtime/models/mod.ts";
import { type Engine, spawnEngine } from "./engine/spawn.ts";
import type { EncodeCommand, OpenCommand } from "./kvjudge_worker.ts";

/** How kvjudge is run. */
export interface KvjudgeOptions {
  /** Name, folder or file of the model. */
  readonly source: string;
  readonly precision: Precision | "auto";
  readonly threads: number;
  /** Answers that are decoded together. @default {1} */
  readonly sequences?: number;
  /** Folder of converted weights. @default {as everywhere} */
  readonly home?: string;
}

/** kvjudge in a process of its own. */
export interface KvjudgeEngine extends Engine {
  /** The precision that was settled on. */
  readonly precision: Precision;
  encode(text: string): Promise<readonly number[]>;
}

/** Starts kvjudge with a model. */
export async function startKvjudge(options: KvjudgeOptions): Promise<KvjudgeEngine> {
  const engine = spawnEngine("kvjudge", new URL("./kvjudge_worker.ts", import.meta.url), [
    "--allow-all",
  ]);
  try {
    const command: OpenCommand = { do: "open", ...options };
    const { value: precision } = await engine.ask<Precision>(command);
    const encode = async (text: string) => {
      const command: EncodeCommand = { do: "encode", text };
      return (await engine.ask<number[]>(command)).value;
    };
    return { ...engine, precision, encode };
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}
