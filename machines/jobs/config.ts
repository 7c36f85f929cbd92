/**
 * The section `apps.jobs` of the configuration. Decides: what job types are and which exist, as whom
 * commands run, where callbacks may go, how long jobs are kept. Leaves to others: all of it.
 */
import { z } from 'zod'

/** Stands for the content of a job in the words of a job type. */
export const CONTENT = '{content}'

/** What a job type runs: a program and its arguments, one of which is the content. */
const commandTemplate = z
  .array(z.string().min(1))
  .min(1, 'a job type names a program first')
  .refine((words) => words[0] !== CONTENT, `the program itself cannot be ${CONTENT}`)
  .refine(
    (words) => words.every((word) => word === CONTENT || !word.includes(CONTENT)),
    `${CONTENT} stands for one whole argument: it cannot be a part of one`,
  )

export type CommandTemplate = z.infer<typeof commandTemplate>

export const SHELL_TEMPLATE: CommandTemplate = ['/bin/sh', '-c', CONTENT]

const HOUR_MS = 3_600_000

export const jobsConfig = z
  .strictObject({
    /** Job types beside `shell`, which is always there and can be replaced. */
    types: z
      .record(z.string().min(1).max(64), commandTemplate)
      .default({})
      .transform((types): Record<string, CommandTemplate> => ({ shell: SHELL_TEMPLATE, ...types })),
    /** The type of a job that names none. */
    defaultType: z.string().default('shell'),
    /** Bytes of the content of a job, which is stored twice: in the job and with its task. */
    contentBytesMax: z
      .int()
      .min(1)
      .max(320 * 1024)
      .default(256 * 1024),
    /**
     * The words before a command that make it run as its executor, by executor. Without the map an
     * executor is a label; with it, only those that it names are taken.
     */
    runAs: z
      .record(
        z.string().min(1).max(256),
        z.array(z.string().min(1)).min(1, 'the program that changes the user stands first'),
      )
      .optional(),
    /** Hosts that callbacks may go to; without the list, all of them. */
    callbackHosts: z.array(z.string().min(1)).optional(),
    /** How long a job is known after its end. */
    keepHours: z
      .number()
      .min(1)
      .max(24 * 365)
      .default(24 * 30)
      .transform((hours) => Math.round(hours * HOUR_MS)),
  })
  .superRefine(({ types, defaultType }, context) => {
    if (Object.hasOwn(types, defaultType)) return
    const known = Object.keys(types).sort().join(', ')
    const message = `there is no job type "${defaultType}"; there are: ${known}`
    context.addIssue({ code: 'custom', path: ['defaultType'], message })
  })
  .transform(({ keepHours, ...section }) => ({ ...section, keepMs: keepHours }))

/** Linux takes no longer argument; only the shell type has a way around it. */
export const ARGUMENT_BYTES_MAX = 128 * 1024 - 1

export type JobsConfig = z.infer<typeof jobsConfig>

/** The names of the types that somebody has configured. */
export function ownTypes(types: JobsConfig['types']): string[] {
  return Object.keys(types).filter((name) => types[name] !== SHELL_TEMPLATE)
}
