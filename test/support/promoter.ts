/** Runs `duolect promote` in a process of its own, to be killed. */
import { promoteCommand } from '../../src/tools/promote/command.ts'

const { args } = JSON.parse(process.argv[2] as string) as { args: string[] }
process.exitCode = await promoteCommand(args)
