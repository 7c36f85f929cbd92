/**
 * Variables that callers set for the children that start from then on. Decides: which they may. What
 * chooses the code that a child runs, libraries of its GPU among it, is not for them: whoever may pause a
 * thread may not run programs.
 */
import { RpcRefusal } from './json-rpc.ts'
import { INVALID_PARAMS } from './worker-api.ts'

const CHOOSES_CODE =
  /^(?:LD_|DYLD_|NODE_|PATH$|HOME$|SHELL$|IFS$|BASH_|ENV$|PYTHON|PERL|RUBY|_?JAVA_|CLASSPATH$|GCONV_|GLIBC_|OPENSSL_|OCL_ICD_|OPENCL_VENDOR_|CUDA_INJECTION|NVTX_INJECTION|VK_)/i

/** @throws RpcRefusal */
export function setEnvironment(name: string, value: string | null): void {
  if (CHOOSES_CODE.test(name)) {
    throw new RpcRefusal(INVALID_PARAMS, `${name} is not to be set from outside`)
  }
  if (value === null) delete process.env[name]
  else if (value.includes('\0')) throw new RpcRefusal(INVALID_PARAMS, 'a value holds no NUL')
  else process.env[name] = value
}
