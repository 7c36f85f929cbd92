/** What the words stand for that verbs of this family stand below, in help. */
export const verbGroups = {
  storage: 'blobs in erasure-coded volumes, their disks and blobnodes',
  'storage disks': 'disks of blobnodes',
  'storage tasks': 'tasks that move units: balance, drop, repair, by hand',
  'storage volumes': 'volumes, and the units that they are made of',
}
