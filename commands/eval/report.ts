import { bareCommand } from "../_subcommand.ts";
import { report } from "./_run_command.ts";

/** `kvjudge eval report`: makes the report of a run again. */
export function reportCommand() {
  return bareCommand()
    .description(
      "Writes report.md, report.html and their figures for a run that has come to its end.",
    )
    .arguments("<folder:string>")
    .example("A new report", "kvjudge eval report results/ruler")
    .action((_flags, folder) => report(folder));
}
