// The main function of an executable, as pquant-compile --emit=exe links it.
#include "pquant/Runtime/RunMain.h"

int main(int argc, char **argv) {
  return pquant_run_main(argc, argv, pquant_model_descriptor());
}
