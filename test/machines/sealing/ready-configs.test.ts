/** The ready configurations of config/sealing: a node with a manager, and a worker that fits it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import { readWorkerConfig } from '../../../machines/sealing/daemon/index.ts'
import type { SealingConfig } from '../../../machines/sealing/index.ts'
import { managerUrl } from '../../../machines/sealing/manager/index.ts'
import { parseConfig, sectionsOf } from '../../../src/protocol/index.ts'

const FOLDER = join(import.meta.dirname, '../../../config/sealing')

it('fit each other: the manager is where the worker looks for it, and knows its store', () => {
  const file = join(FOLDER, 'node.yaml')
  const node = parseConfig(readFileSync(file, 'utf8'), file)
  const sections = sectionsOf(apps, node.apps ?? {})
  const { manager } = sections[apps.findIndex(({ name }) => name === 'sealing')] as SealingConfig
  const worker = readWorkerConfig(join(FOLDER, 'worker.toml'))
  expect(worker.warnings).toEqual([])
  expect(manager?.stores.map(({ name, path }) => [name, path])).toEqual(
    worker.attached.map(({ name, location }) => [name, location]),
  )
  const [listener] = node.listeners ?? []
  expect(managerUrl(worker.manager.addr).port).toBe(String(listener?.port))
})
