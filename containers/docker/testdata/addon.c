// An addon as packages bring them: machine code that has threads, memory and processes of its own.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void *napi_env, *napi_value;
int napi_create_int32(napi_env env, int value, napi_value *result);

static void *work(void *memory) {
  *(int *)memory = 40;
  return NULL;
}

static int compute(void) {
  int *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_t thread;
  if (memory == MAP_FAILED || pthread_create(&thread, NULL, work, memory) || pthread_join(thread, NULL)) return -1;
  int status;
  pid_t child = fork();
  if (child == 0) _exit(2);
  if (child < 0 || waitpid(child, &status, 0) != child) return -2;
  return *memory + WEXITSTATUS(status);
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value value;
  return napi_create_int32(env, compute(), &value) == 0 ? value : exports;
}

int node_api_module_get_api_version_v1(void) { return 8; }
