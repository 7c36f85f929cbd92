/** What a node of a daemon hosts in these tests, with all verbs of the family. */
import { platform } from '../../../../machines/platform/index.ts'
import { sealingWith } from '../../../../machines/sealing/index.ts'
import type { App } from '../../../../src/index.ts'

export const sealingApps: readonly App[] = [platform, sealingWith([platform])]
