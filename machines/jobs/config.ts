/**
 * The section `apps.jobs` of the configuration. Decides: what job types are and which exist. Leaves
 * to others: running them.
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
  })
  .superRefine(({ types, defaultType }, context) => {
    if (Object.hasOwn(types, defaultType)) return
    const known = Object.keys(types).sort().join(', ')
    const message = `there is no job type "${defaultType}"; there are: ${known}`
    context.addIssue({ code: 'custom', path: ['defaultType'], message })
  })

/** Linux takes no longer argument; only the shell type has a way around it. */
export const ARGUMENT_BYTES_MAX = 128 * 1024 - 1

export type JobsConfig = z.infer<typeof jobsConfig>
