import type { ModelFacts } from "../../policies/policy.ts";
import type { Engine } from "../engine/engine.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Marks } from "./marks.ts";
import type { SessionOptions } from "./session.ts";
import type { State } from "./state.ts";
import type { Tally } from "./tally.ts";

/** What a session needs of its model. */
export interface SessionModel {
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly facts: () => Promise<ModelFacts>;
  /** Milliseconds, to measure phases with. */
  readonly now: () => number;
  /** Name of the model, for records. */
  readonly name?: string;
}

/** What the parts of a session work on. */
export interface SessionContext {
  readonly model: SessionModel;
  readonly options: Required<SessionOptions>;
  readonly state: State;
  readonly tally: Tally;
  readonly marks: Marks;
}
