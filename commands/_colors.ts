/** Whether the user wants no colours anywhere: NO_COLOR is set, to whatever. */
export function noColors(): boolean {
  // Deno.noColor lets FORCE_COLOR win; who sets both has said no.
  return Boolean(Deno.env.get("NO_COLOR"));
}

/** Whether the user wants colours also where the output is no terminal, as for `less -R`. */
export function forcesColors(): boolean {
  const value = Deno.env.get("FORCE_COLOR");
  return value !== undefined && !["", "0", "false"].includes(value) && !noColors();
}
