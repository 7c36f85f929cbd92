/**
 * Merkle trees over 32-byte nodes: a parent is the SHA-256 of its two children. Decides: the form of a
 * tree (all levels in one buffer, leaves first, root last), of a path (siblings from the leaf upwards).
 * The count of leaves is a power of two and known to who checks, so leaves cannot pass for inner nodes.
 */
import { NODE_BYTES, sha256, sha256Into } from './sha256.ts'

/** The bytes of a tree over `leafBytes` of leaves. */
export function treeBytes(leafBytes: number): number {
  return 2 * leafBytes - NODE_BYTES
}

export function treeOf(leaves: Uint8Array): Buffer {
  const tree = Buffer.alloc(treeBytes(leaves.length))
  tree.set(leaves)
  let below = 0
  for (let at = leaves.length; at < tree.length; at += NODE_BYTES) {
    sha256Into(tree.subarray(below, below + 2 * NODE_BYTES), tree, at)
    below += 2 * NODE_BYTES
  }
  return tree
}

export function rootOf(tree: Buffer): Buffer {
  return tree.subarray(tree.length - NODE_BYTES)
}

export function pathBytes(nodes: number): number {
  return Math.log2(nodes) * NODE_BYTES
}

export function pathOf(tree: Buffer, leaf: number): Buffer {
  const siblings: Buffer[] = []
  let level = 0
  let width = (tree.length / NODE_BYTES + 1) / 2
  for (let index = leaf; width > 1; index >>= 1) {
    const at = (level + (index ^ 1)) * NODE_BYTES
    siblings.push(tree.subarray(at, at + NODE_BYTES))
    level += width
    width /= 2
  }
  return Buffer.concat(siblings)
}

/** The root that a leaf and its path lead to. */
export function rootFrom(leaf: Uint8Array, index: number, path: Uint8Array): Buffer {
  let node: Buffer = Buffer.from(leaf)
  for (let at = 0, side = index; at < path.length; at += NODE_BYTES, side >>= 1) {
    const sibling = path.subarray(at, at + NODE_BYTES)
    node = side & 1 ? sha256(sibling, node) : sha256(node, sibling)
  }
  return node
}

/** The root over zeros; `leafBytes` is a power of two. */
export function zeroRoot(leafBytes: number): Buffer {
  let node: Buffer = Buffer.alloc(NODE_BYTES)
  for (let bytes = NODE_BYTES; bytes < leafBytes; bytes *= 2) node = sha256(node, node)
  return node
}
