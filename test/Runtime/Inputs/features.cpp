// Prints which of its arguments this CPU has.
#include "lib/Runtime/Cpu.h"

#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i)
    if (pquant::cpuHasFeature(argv[i], strlen(argv[i])))
      puts(argv[i]);
  return 0;
}
