/** What an answer must be; the scheduler's worker compiles it. */
export type Grammar =
  /** Any JSON object. */
  | { readonly kind: "json_object" }
  /** JSON that a schema allows. */
  | { readonly kind: "json_schema"; readonly schema: Readonly<Record<string, unknown>> | boolean }
  /** Calls of tools, in the model's own form; text instead only where it is not `required`. */
  | {
    readonly kind: "tools";
    readonly tools: readonly ToolDefinition[];
    readonly required: boolean;
    /** Whether one answer may have several calls. */
    readonly parallel: boolean;
  };

/** A function that a model may call. */
export interface ToolDefinition {
  readonly name: string;
  readonly description?: string;
  /** A JSON schema of an object; any object if absent. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Whether the arguments must follow the schema exactly. */
  readonly strict?: boolean;
}
