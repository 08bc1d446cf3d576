import { bareCommand, type Subcommand } from "./_subcommand.ts";
import { compareCommand } from "./eval/compare.ts";
import { generationCommand } from "./eval/generation.ts";
import { hitRateCommand } from "./eval/hit_rate.ts";
import { leaderboardCommand } from "./eval/leaderboard.ts";
import { longBenchCommand } from "./eval/longbench.ts";
import { niahCommand } from "./eval/niah.ts";
import { perplexityCommand } from "./eval/perplexity.ts";
import { reportCommand } from "./eval/report.ts";
import { rightAnswersCommand } from "./eval/right_answers.ts";
import { rulerCommand } from "./eval/ruler.ts";
import { upperBoundCommand } from "./eval/upper_bound.ts";

/**
 * `kvjudge eval`: measures policies.
 *
 * @param version Version of kvjudge, for the records.
 */
export function evalCommand(version: string): Subcommand {
  const command = bareCommand();
  command
    .name("kvjudge eval")
    .description("Measures what policies keep, and the answers they leave.")
    .action(() => command.showHelp());
  command.command("hit_rate", hitRateCommand(version));
  command.command("ruler", rulerCommand(version));
  command.command("niah", niahCommand(version));
  command.command("longbench", longBenchCommand(version));
  command.command("perplexity", perplexityCommand(version));
  command.command("generation", generationCommand(version));
  command.command("upper_bound", upperBoundCommand(version));
  command.command("right_answers", rightAnswersCommand(version));
  command.command("leaderboard", leaderboardCommand(version));
  command.command("compare", compareCommand());
  command.command("report", reportCommand());
  return command;
}
