/** Runs a program of Python that prints findings, where Python has torch; gives back its other lines. */
export async function python(source: string, seconds: number): Promise<string[] | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("timeout", {
      args: ["--foreground", String(seconds), "python3", "-c", source],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = new TextDecoder();
    if (!success) console.error(text.decode(stderr).slice(-1500));
    const lines = text.decode(stdout).split("\n").filter((line) => line !== "");
    return success || lines.length > 0 ? lines : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
