/** The verb `troupe storage blobnode`. Decides: what a person types. Leaves to others: all it means (`serve.ts`). */
import type { AppVerb } from '../../../../src/verbs.ts'

export const blobnodeVerb: AppVerb = {
  path: ['storage', 'blobnode'],
  summary: 'keep chunks of volumes on the disks of this host, and serve them; until Ctrl-C',
  options: [
    {
      flags: '--disk <id=path...>',
      description: 'a disk: its id, and a directory of its own on it',
    },
    { flags: '--idc <name>', description: 'the AZ that this host is in' },
    { flags: '--rack <name>', description: 'the rack that it is in' },
    { flags: '--host <name>', description: "how it is called (the host's own name)" },
    {
      flags: '--listen <host:port>',
      description: 'where it is called (127.0.0.1:8889); port 0 takes a free one',
    },
    { flags: '--advertise <url>', description: 'where others call it, if that is another address' },
    {
      flags: '--token-file <file>',
      description: 'the token that callers have to know; needed unless it listens on loopback',
    },
    {
      flags: '--nodes <urls>',
      description:
        'instead of --http: several nodes with commas between them; one that answers will do',
    },
    {
      flags: '--chunk-bytes-max <size>',
      description: 'no chunk here may be made larger: 512M, 16G (16G)',
    },
    {
      flags: '--move-slots <count>',
      description: 'so many chunks at a time are copied or recovered by this process (1); 0: none',
    },
    {
      flags: '--inspect-slots <count>',
      description: 'so many volumes at a time are inspected by it (1); 0: none',
    },
    { flags: '--log-level <level>', description: 'debug, info, warn, error or silent (info)' },
  ],
  examples: [
    'troupe storage blobnode --disk 1=/data/1 --disk 2=/data/2 --idc z1 --rack r1',
    'troupe storage blobnode --disk 3=/data/3 --idc z2 --rack r1 --host b2 --listen 10.0.0.2:8889 \\',
    '    --token-file token --nodes http://10.0.0.10:9800,http://10.0.0.11:9800',
  ],
  serves: true,
  run: async (call) => (await import('./serve.ts')).runBlobnode(call, process.env),
}
